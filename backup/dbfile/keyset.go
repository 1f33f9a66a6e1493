package dbfile

// keySet is a set of hashes of keys, each with a bit of the user's: open addressing in one array, 8 bytes a slot, at most
// half full. Nothing is ever taken out.
type keySet struct {
	slots []uint64 // hash with the user's bit as its lowest; 0 for none
	n     int
}

const (
	firstSlots = 1 << 12
	userBit    = 1
)

// slot returns the slot of a hash, made if need be; known says whether it was there. It is valid until the next call.
func (s *keySet) slot(hash uint64) (slot *uint64, known bool) {
	if 2*s.n >= len(s.slots) {
		s.grow()
	}
	hash = hash&^userBit | 2 // never 0
	mask := uint64(len(s.slots) - 1)
	for at := hash >> 2 & mask; ; at = (at + 1) & mask {
		switch slot := &s.slots[at]; *slot &^ userBit {
		case 0:
			*slot = hash
			s.n++
			return slot, false
		case hash:
			return slot, true
		}
	}
}

func (s *keySet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(firstSlots, 2*len(old)))
	mask := uint64(len(s.slots) - 1)
	for _, value := range old {
		if value == 0 {
			continue
		}
		at := value >> 2 & mask
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = value
	}
}
