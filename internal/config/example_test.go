package config_test

import (
	"testing"

	"example.com/certscan/internal/config"
)

// The example of the manual is one that people begin with.
func TestExample(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load("../../docs/examples/policy.yaml", parsers())
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Policy.Rules) != 6 || len(cfg.Policy.Severities) != 2 || len(cfg.Waivers) != 2 {
		t.Errorf("%d rules, %d severities, %d waivers, want 6, 2, 2", len(cfg.Policy.Rules), len(cfg.Policy.Severities), len(cfg.Waivers))
	}
}
