package config

// Nearest returns the word that somebody who typed text most likely meant, "" when none is near.
func Nearest(text string, words []string) string {
	best, found := len(text)/2+1, ""
	for _, word := range words {
		if d := distance(text, word); d < best {
			best, found = d, word
		}
	}
	return found
}

// distance counts the insertions, deletions and replacements that turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
