"""What the damage run is made of: books to damage, ways to damage them, and the run itself."""
