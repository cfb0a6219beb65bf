"""What each command of the program does: options in, one library call, words or JSON out."""
