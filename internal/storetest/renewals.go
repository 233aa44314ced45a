package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

func renewals(f *fixture) {
	const d = 24 * time.Hour
	t, other := Target("shop.example"), Target("other.example")
	serve := func(address, name string, at time.Time, from int) {
		e := Seen(t, address, at, Chain(name))
		e.Judgement.Certificate.NotBefore, e.Judgement.Certificate.NotAfter = Start.Add(time.Duration(from)*d), Start.Add(time.Duration(from+90)*d)
		f.record(t, e)
	}
	day := func(n int) time.Time { return Start.Add(time.Duration(n) * d / 24) } // within the clock of the store
	f.record(other, Seen(other, address, hour(0), Chain("z")))
	serve(address, "a", day(0), -60)
	serve(address, "b", day(1), 0)
	serve("192.0.2.8", "a", day(1), -60) // another address, renewed later
	serve("192.0.2.8", "b", day(2), 0)
	f.record(t, Failed(t, address, day(3), inventory.ReachTimeout)) // which is no renewal
	serve(address, "b", day(4), 0)
	serve(address, "a", day(5), -60) // nor is the old one again
	serve(address, "b", day(6), 0)
	serve(address, "c", day(7), 10)
	want := []inventory.Renewal{
		{At: day(1), NotBefore: Start, Left: 30*d - time.Hour, Lifetime: 90 * d},
		{At: day(7), NotBefore: Start.Add(10 * d), Left: 90*d - 7*time.Hour, Lifetime: 90 * d},
	}
	for _, key := range []string{t.Key(), ""} {
		got, err := f.Renewals(f.Context(), key)
		if err != nil {
			f.Fatal(err)
		}
		if diff := cmp.Diff(map[string][]inventory.Renewal{t.Key(): want}, got); diff != "" {
			f.Errorf("Renewals(%q) (-want +got):\n%s", key, diff)
		}
	}
	if got, err := f.Renewals(f.Context(), other.Key()); err != nil || len(got) != 0 {
		f.Errorf("Renewals of what never changed = %v, %v", got, err)
	}
}
