package main

// table lists the rows of the report. A new row is a file with a function like these and its line here.
func table() []experiment {
	return []experiment{
		writesOne(),
		writesThree(),
		writesSpread(),
		startToReady(),
		idleMemory(),
		versionWall(),
		binarySize(),
		scanKeys(),
		scanValues(),
	}
}
