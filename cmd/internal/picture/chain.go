// Package picture draws chains as SVG: the programs from left to right in the order they run,
// and the packets as streams, as wide as there are many.
package picture

// Chain is what runs on one interface.
type Chain struct {
	Interface string
	Note      string    // beside the interface's name, such as its mode; empty: none
	Programs  []Program // in the order they run
	Counted   bool      // the rates are known
	Total     Rate      // of all packets of the interface
}

// Program is a program of a chain, or the lone one of an interface.
type Program struct {
	Name     string
	Note     string // below the name, such as priority and id
	Passes   string // chain call actions; empty: none
	Unseen   string // why its packets aren't counted; empty: they are
	Total    Rate
	Verdicts []Verdict // those that it has given, in the order in which they are drawn
}

// Verdict is what became of a program's packets with one verdict.
type Verdict struct {
	Name     string // such as XDP_DROP
	Decided  Rate   // the chain ended with it
	HandedOn Rate   // another program ran after it, or the dispatcher said XDP_PASS
}

// Rate is a number of packets, and how many there are in a second.
type Rate struct {
	Packets   uint64
	PerSecond float64
}

func (r Rate) plus(s Rate) Rate { return Rate{r.Packets + s.Packets, r.PerSecond + s.PerSecond} }

// handedOn are all packets that the program has handed on.
func (p Program) handedOn() Rate {
	var sum Rate
	for _, v := range p.Verdicts {
		sum = sum.plus(v.HandedOn)
	}
	return sum
}
