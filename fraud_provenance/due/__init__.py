"""What is due: what evidence says was made, against what would be made now. Plans only."""
