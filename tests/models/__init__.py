"""Small pure models of what the console promises, and machines that hold it against them."""
