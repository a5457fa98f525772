"""Reports as files that people open: CSV for spreadsheets, PDF for paper."""
