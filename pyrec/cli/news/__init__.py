"""The commands for news: articles with text, impressions with clicks."""
