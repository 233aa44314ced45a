package dashboards_test

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/certscan/dashboards"
)

// What the tests look at of Grafana's classic model.
type dashboard struct {
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	Editable      *bool    `json:"editable"`
	SchemaVersion int      `json:"schemaVersion"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
	Links  []link  `json:"links"`
	Panels []panel `json:"panels"`
}

type variable struct {
	Name       string     `json:"name"`
	Label      string     `json:"label"`
	Type       string     `json:"type"`
	Query      string     `json:"query"`
	Datasource datasource `json:"datasource"`
	Multi      bool       `json:"multi"`
	IncludeAll bool       `json:"includeAll"`
	AllValue   string     `json:"allValue"`
	Refresh    int        `json:"refresh"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type annotation struct {
	Name       string     `json:"name"`
	BuiltIn    int        `json:"builtIn"`
	Datasource datasource `json:"datasource"`
	Expr       string     `json:"expr"`
}

type link struct {
	Title string   `json:"title"`
	URL   string   `json:"url"`
	Tags  []string `json:"tags"`
	Type  string   `json:"type"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	Place       struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	Targets     []target `json:"targets"`
	Links       []link   `json:"links"`
	FieldConfig struct {
		Defaults struct {
			Unit     string `json:"unit"`
			Decimals int    `json:"decimals"`
			Mappings []struct {
				Type    string `json:"type"`
				Options struct {
					Match  string `json:"match"`
					Result struct {
						Color string `json:"color"`
					} `json:"result"`
				} `json:"options"`
			} `json:"mappings"`
		} `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				ID string `json:"id"`
			} `json:"matcher"`
			Properties []struct {
				ID    string          `json:"id"`
				Value json.RawMessage `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Transformations []struct {
		ID      string `json:"id"`
		Options struct {
			Exclude map[string]bool   `json:"excludeByName"`
			Index   map[string]int    `json:"indexByName"`
			Rename  map[string]string `json:"renameByName"`
		} `json:"options"`
	} `json:"transformations"`
}

type target struct {
	RefID      string     `json:"refId"`
	Datasource datasource `json:"datasource"`
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat"`
	Format     string     `json:"format"`
	Instant    bool       `json:"instant"`
	Range      bool       `json:"range"`
}

// parse reads what is printed for opt.
func parse(t *testing.T, name string, opt dashboards.Options) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(print(t, name, opt)), &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

// A question is a query with where it stands.
type question struct {
	where string
	expr  string
	over  bool // asked for a range of time
}

// questions are all queries of a dashboard, those of annotations and variables
// among them.
func (d dashboard) questions() []question {
	var list []question
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			list = append(list, question{p.Title + " " + q.RefID, q.Expr, q.Range})
		}
	}
	for _, a := range d.Annotations.List {
		if a.BuiltIn == 0 {
			list = append(list, question{"annotation " + a.Name, a.Expr, true})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			list = append(list, question{"variable " + v.Name, v.selector(), false})
		}
	}
	return list
}

// selector is what a variable takes the values of a label from.
func (v variable) selector() string {
	args, _ := strings.CutPrefix(v.Query, "label_values(")
	return args[:max(0, strings.LastIndex(args, ","))]
}

// label is the one whose values are taken.
func (v variable) label() string {
	return strings.Trim(v.Query[strings.LastIndex(v.Query, ",")+1:], " )")
}
