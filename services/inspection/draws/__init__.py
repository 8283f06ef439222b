"""Draws (双随机抽取): lots that anybody can draw again."""
