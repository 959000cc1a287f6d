"""The ground floor: errors, files, names, random streams, the machine, processes, progress. It imports no other room."""
