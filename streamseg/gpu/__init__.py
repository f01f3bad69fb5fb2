"""The graphics card: what is known of it, its thread, its kernels. Importing this needs no GPU package."""
