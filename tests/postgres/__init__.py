"""A private PostgreSQL for the tests: started for one session, on a socket and a loopback port of its own."""
