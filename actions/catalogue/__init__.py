"""The actions of the catalogue, one file each; a new file is found by itself."""
