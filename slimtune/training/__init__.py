"""Training: the page that trains, where it starts from, what is trained, schedule, losses, batch norm's
statistics, the train folder."""
