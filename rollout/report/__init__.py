"""The report of a run: tables, report.json and the page that is made from it."""
