"""Parts of networks, most of them with parameters."""
