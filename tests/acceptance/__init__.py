"""The real process on the real devnet: started, killed, restarted, and judged from the chains."""
