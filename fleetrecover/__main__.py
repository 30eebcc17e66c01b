"""`python -m fleetrecover`."""

from fleetrecover.start import main

main()
