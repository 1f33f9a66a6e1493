package main

import (
	"encoding/json"
	"testing"
)

func TestObjects(t *testing.T) {
	keys := map[string]bool{}
	for _, i := range []int{0, 1, 127, 128, 65_535, 123_456, objectCount - 1} {
		value := objectValue(i)
		if len(value) != objectSize || !json.Valid([]byte(value)) {
			t.Errorf("object %d is no JSON of %d bytes: %s", i, objectSize, value)
		}
		if again, key := objectValue(i), objectKey(i); value != again || key != objectKey(i) {
			t.Errorf("object %d is not the same twice", i)
		}
		keys[objectKey(i)] = true
	}
	if len(keys) != 7 {
		t.Errorf("keys are the same: %v", keys)
	}
}
