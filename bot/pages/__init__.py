"""What people read in a browser: the page of a log. Nothing of it is loaded before somebody asks for it."""
