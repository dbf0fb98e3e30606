# What nobody asks for who means well.
resource "cloudflare_ruleset" "firewall" {
  zone_id = var.zone_id
  name    = "Rampart"
  kind    = "zone"
  phase   = "http_request_firewall_custom"

  rules = concat(
    [
      {
        ref         = "methods"
        description = "Methods that no route has"
        expression  = "${local.here} and not http.request.method in {\"GET\" \"HEAD\" \"POST\" \"PUT\" \"PATCH\" \"DELETE\"}"
        action      = "block"
      },
      {
        # Eight digits: ten megabytes. The program takes one mebibyte, and counts what comes without saying how much it is.
        ref         = "bodies"
        description = "Bodies that nobody takes"
        expression  = "${local.here} and len(http.request.headers[\"content-length\"][0]) > 7"
        action      = "block"
      },
      {
        ref         = "paths"
        description = "What is not the API"
        expression  = "${local.here} and not http.request.uri.path eq \"/\" and not http.request.uri.path eq \"/api/v1\" and not starts_with(http.request.uri.path, \"/api/v1/\")"
        action      = "block"
      },
    ],
    length(var.countries) == 0 ? [] : [
      {
        ref         = "countries"
        description = "Other countries"
        expression  = "${local.here} and not ip.src.country in {${join(" ", formatlist("\"%s\"", var.countries))}}"
        action      = "block"
      },
    ],
  )
}

# What Cloudflare knows of attacks.
resource "cloudflare_ruleset" "managed" {
  zone_id = var.zone_id
  name    = "Rampart: managed"
  kind    = "zone"
  phase   = "http_request_firewall_managed"

  rules = [
    {
      ref         = "cloudflare"
      description = "Cloudflare's rules"
      expression  = local.here
      action      = "execute"
      # The ruleset "Cloudflare Managed Ruleset", as it is called for everybody.
      action_parameters = {
        id = "efb7b8c949ac4650a09736fc376e9aee"
      }
    },
    {
      ref         = "owasp"
      description = "OWASP's rules"
      expression  = local.here
      action      = "execute"
      # "Cloudflare OWASP Core Ruleset"; the rule that adds the scores up is the one whose action counts.
      action_parameters = {
        id = "4814384a9e5d4991b9815dcfc25d2f1f"
        overrides = {
          rules = [
            {
              id              = "6179ae15870a4bb7b2d480d4843b323c"
              action          = var.owasp_action
              score_threshold = 40
            },
          ]
        }
      }
    },
  ]
}
