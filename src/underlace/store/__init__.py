"""The store: SQL tables, the one writer, and read access to intent. Only this package speaks SQL.

writer thread ──one durable commit per group of changes──► SQLite (WAL)
readers ──────── a connection each, a snapshot per read ──►
"""
