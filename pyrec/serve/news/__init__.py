"""Articles over HTTP: recommended and ranked, posted and clicked while the service runs."""
