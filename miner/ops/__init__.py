"""The ops server: what a running daemon tells over HTTP, and takes from its operator. It pays nobody."""
