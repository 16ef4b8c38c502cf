"""The adapters to outside systems, one file each; a new file is found by itself."""
