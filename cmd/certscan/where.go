package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

func newWhereCommand(io streams) *cobra.Command {
	var f listFlags
	var authority string
	cmd := &cobra.Command{
		Use:   "where SHA256|SPKI|NAME | --chains-to ISSUER|SHA256|SPKI|FILE",
		Short: "Find the endpoints with a certificate, key or name, or under a CA",
		Long: `where finds the endpoints that serve a certificate in their chain, by the first
8 or more digits of its SHA-256 or of its key's (SPKI), or that serve a leaf for
a name, by itself or by a wildcard. .example.com and '*.example.com' are
everything below example.com; of a URL or a target its name counts.

With --chains-to it finds the endpoints whose chain leads to an authority, root
or intermediate, served or not: by part of its name, by the SHA-256 of its
certificate or key, or by a file with its certificate. Trust stores are those of
the last scan.`,
		Example: `  certscan where 3f0a9c11
  certscan where '*.example.com'
  certscan where .example.com --format csv
  certscan where --chains-to 'emSign ECC Root CA - G3' --format csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if authority != "" {
				return noArguments(cmd, args)
			}
			return oneArgument("a SHA-256 or a name")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if authority != "" {
				return runChainsTo(cmd, io, f, authority)
			}
			q, err := parseWhere(args[0])
			if err != nil {
				return usageError{err}
			}
			h, err := f.open(cmd, io)
			if err != nil {
				return err
			}
			defer h.Close()
			found, err := h.Where(cmd.Context(), q)
			if err != nil {
				return err
			}
			return listPlaces(io, f, h, found, nil, fmt.Errorf("no current endpoint serves %q", args[0]))
		},
	}
	cmd.Flags().StringVar(&authority, "chains-to", "", "find the endpoints whose chain leads to this authority: `ISSUER|SHA256|SPKI|FILE`")
	f.add(cmd)
	return cmd
}

// parseWhere reads what to look for. Of a target, as other commands print it and
// as browsers show it, the name counts.
func parseWhere(s string) (inventory.Query, error) {
	q, err := inventory.ParseQuery(s)
	if err != nil || q.Digest != "" || !strings.ContainsAny(s, "/@:") {
		return q, err
	}
	t, err := discover.ParseTarget(s)
	if err != nil {
		return q, err
	}
	return inventory.ParseQuery(t.Host)
}

func runChainsTo(cmd *cobra.Command, io streams, f listFlags, authority string) error {
	ask, err := parseChainsTo(authority)
	if err != nil {
		return err
	}
	h, err := f.open(cmd, io)
	if err != nil {
		return err
	}
	defer h.Close()
	found, err := h.chainsTo(cmd.Context(), io, ask)
	if err != nil {
		return err
	}
	return listPlaces(io, f, h, found, ask, ask.none())
}

// chainsTo asks by the stores of the last scan, if there are no others.
func (h *history) chainsTo(ctx context.Context, io streams, ask *chainsTo) (_ []inventory.Serving, err error) {
	if h.trust.stores == nil {
		if h.trust, err = (trustFlags{}).loadAgain(ctx, h.DB, noter(io)); err != nil {
			return nil, err
		}
	}
	return ask.find(ctx, h.DB, h.trust.stores)
}

// listPlaces writes where certificates are served.
func listPlaces(io streams, f listFlags, h *history, found []inventory.Serving, ask *chainsTo, none error) error {
	if len(found) == 0 {
		return none
	}
	known := make(map[inventory.Fingerprint]inventory.Certificate)
	places := make([]report.Place, 0, len(found))
	for _, s := range found {
		c, ok := known[s.Certificate]
		if !ok {
			c, _ = h.lookup(s.Certificate)
			known[s.Certificate] = c
		}
		p := report.Place{Serving: s, Expires: c.NotAfter, Owner: s.Labels["owner"]}
		if ask != nil {
			p.Issuer = cmp.Or(ask.names[s.Via], c.Issuer)
		}
		places = append(places, p)
	}
	return list(io, f.outputFlags, h, func(w writer, opt report.Options) error {
		return report.Where(w, f.format, places, opt)
	})
}
