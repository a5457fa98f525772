"""Whole ledgers in files, and files that begin one."""
