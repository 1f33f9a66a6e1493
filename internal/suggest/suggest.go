// Package suggest finds the word that somebody meant who mistyped it.
package suggest

import (
	"slices"
	"strings"
)

// Nearest returns the word that text was most likely meant to be: the fewest edits whatever the case, a word that starts with text where
// none is near, "" where nothing comes close. The first in the alphabet wins among equals.
func Nearest(text string, words []string) string {
	words = slices.Sorted(slices.Values(words))
	best, fewest := "", min(len(text)/2+1, 2+len(text)/4)
	for _, word := range words {
		if d := distance(strings.ToLower(text), strings.ToLower(word)); d < fewest {
			best, fewest = word, d
		}
	}
	if best != "" || len(text) < 5 {
		return best
	}
	for _, word := range words {
		if strings.HasPrefix(word, text) {
			return word
		}
	}
	return ""
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
