"""What each part of the default method brings, on held-out training images."""
