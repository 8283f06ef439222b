"""Privacy (个人信息保护): persons are forgotten by destroying the key of their data."""
