"""Any bytes to an upright image, folders of images, the way from an encoded image to a network's input."""
