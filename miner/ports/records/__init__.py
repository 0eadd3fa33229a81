"""Parts of the store, each with what it keeps."""
