"""Roster (执法主体与人员): departments and inspectors."""
