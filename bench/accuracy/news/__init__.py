"""Models of news on EB-NeRD demo: see bench/accuracy/news.md."""
