"""Files that appear whole or not at all, locks, parallel work, archives, downloads."""
