"""Test doubles: in-memory ports, which pass the contract suites of the real servers, and scripted engines and jobs."""
