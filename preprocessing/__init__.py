"""From a decoded image to what a net takes: four styles, each for training and for evaluation."""
