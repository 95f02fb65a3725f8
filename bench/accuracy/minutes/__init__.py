"""The race to accuracy: from files on disk to the lists of all test users, ours and others', on the same threads."""
