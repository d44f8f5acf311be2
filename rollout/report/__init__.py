"""What a run leaves behind: tables, report.json and the page that is made from it."""
