"""The service under a real systemd: started, watched, reloaded, killed, upgraded, stopped."""
