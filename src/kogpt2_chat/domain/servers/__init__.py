"""Addresses, proxies and start-up of servers, as decisions."""
