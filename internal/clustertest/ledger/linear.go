package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	// windowLimit is how many operations of one register are judged: beyond that porcupine's memory and time have no
	// useful bound.
	windowLimit = 20_000
	// windowTime is how long the judge may think about one register.
	windowTime = 60 * time.Second
)

// Linearizable judges a history: nil means that each register behaved as if each operation had happened at one moment
// between its call and its return. A judge that comes to no end is an error, and so is an empty history.
func Linearizable(history []Operation) error {
	if len(history) == 0 {
		return errors.New("no operation has an answer: nothing is proven")
	}
	for _, register := range byKey(history) { // registers are independent of each other
		if err := judgeRegister(register); err != nil {
			return err
		}
	}
	return nil
}

// byKey splits a history into those of each register, each in the order of the calls.
func byKey(history []Operation) [][]Operation {
	index := map[string]int{}
	var parts [][]Operation
	for _, o := range history {
		i, known := index[o.Key]
		if !known {
			i = len(parts)
			index[o.Key] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], o)
	}
	for _, part := range parts {
		slices.SortFunc(part, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
	}
	return parts
}

// judgeRegister judges the history of one register.
func judgeRegister(history []Operation) error {
	key := history[0].Key
	if len(history) > windowLimit {
		return fmt.Errorf("%d operations on register %q: at most %d can be judged", len(history), key, windowLimit)
	}
	var ops []porcupine.Operation
	for _, o := range history {
		ops = append(ops, porcupine.Operation{ClientId: o.Worker, Input: o, Call: o.Call, Return: o.Return})
	}
	switch porcupine.CheckOperationsTimeout(model(), ops, windowTime) {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		var text strings.Builder
		for _, o := range history {
			fmt.Fprintln(&text, o)
		}
		return fmt.Errorf("register %q is not linearizable:\n%s", key, &text)
	case porcupine.Unknown:
	}
	return fmt.Errorf("no judgement over %d operations on register %q within %v", len(history), key, windowTime)
}

// model is a register: its state is the value, "" before the first one.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			value, isString := state.(string)
			o, isOperation := input.(Operation)
			if !isString || !isOperation {
				return false, state
			}
			return o.step(value)
		},
	}
}

// step says whether the operation can happen to a register with that value, and the value afterwards. A pending
// operation's answer is not known, so that it fits any value.
func (o Operation) step(value string) (possible bool, next string) {
	switch o.Kind {
	case Read:
		return o.Found == value, value
	case Store:
		return true, o.Value
	case Swap:
		swapped := value == o.Old
		if o.Return != Pending && swapped != o.Swapped {
			return false, value
		}
		if swapped {
			return true, o.Value
		}
		return true, value
	}
	return false, value
}
