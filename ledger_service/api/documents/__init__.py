"""What entries have made, as plain JSON documents."""
