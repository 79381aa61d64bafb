"""A study's report: figure data first (`data`), drawn second, one page that works offline."""
