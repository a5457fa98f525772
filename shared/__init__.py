"""What both services use: settings, database, errors, money, HTTP conventions, logging."""
