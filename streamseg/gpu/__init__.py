"""What is known of the graphics card. Importing this needs no GPU package and no driver."""
