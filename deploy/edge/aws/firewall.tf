locals {
  # People write attacks down here, in comments and decisions, and name targets in queries: Amazon's rules that look at these count, and
  # refuse nobody.
  lenient = [
    "CrossSiteScripting_BODY", "GenericLFI_BODY", "GenericRFI_BODY", "EC2MetaDataSSRF_BODY", "SizeRestrictions_BODY",
    "GenericRFI_QUERYARGUMENTS", "EC2MetaDataSSRF_QUERYARGUMENTS", "SizeRestrictions_QUERYSTRING",
  ]
  # Requests of one address that are let through, how many within how many seconds, and of which.
  rates = {
    login   = { priority = 10, limit = var.login_rate, seconds = 60, path = "/api/v1/session" }
    sign-up = { priority = 11, limit = var.sign_up_rate, seconds = 600, path = "/api/v1/invitations/accept" }
  }
}

resource "aws_wafv2_web_acl" "edge" {
  provider    = aws.edge
  name        = "rampart"
  description = "What is let through to Rampart"
  scope       = "CLOUDFRONT"

  default_action {
    allow {}
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = "rampart"
    sampled_requests_enabled   = true
  }

  rule {
    name     = "methods"
    priority = 0

    action {
      block {}
    }

    statement {
      not_statement {
        statement {
          regex_match_statement {
            regex_string = "^(GET|HEAD|POST|PUT|PATCH|DELETE)$"

            field_to_match {
              method {}
            }

            text_transformation {
              priority = 0
              type     = "NONE"
            }
          }
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rampart-methods"
      sampled_requests_enabled   = true
    }
  }

  # Eight digits: ten megabytes. The program takes one mebibyte, and counts what comes without saying how much it is.
  rule {
    name     = "bodies"
    priority = 1

    action {
      block {}
    }

    statement {
      regex_match_statement {
        regex_string = "^[0-9]{8,}$"

        field_to_match {
          single_header {
            name = "content-length"
          }
        }

        text_transformation {
          priority = 0
          type     = "NONE"
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rampart-bodies"
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = length(var.countries) == 0 ? [] : [var.countries]

    content {
      name     = "countries"
      priority = 2

      action {
        block {}
      }

      statement {
        not_statement {
          statement {
            geo_match_statement {
              country_codes = rule.value
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "rampart-countries"
        sampled_requests_enabled   = true
      }
    }
  }

  # AWS looks at its counts every ten seconds or so: what comes meanwhile passes. The program's own limits, which are exact to the
  # second, stay as they are.
  dynamic "rule" {
    for_each = local.rates

    content {
      name     = rule.key
      priority = rule.value.priority

      action {
        block {
          custom_response {
            response_code = 429
          }
        }
      }

      statement {
        rate_based_statement {
          limit                 = rule.value.limit
          evaluation_window_sec = rule.value.seconds
          aggregate_key_type    = "IP"

          scope_down_statement {
            and_statement {
              statement {
                byte_match_statement {
                  positional_constraint = "EXACTLY"
                  search_string         = "POST"

                  field_to_match {
                    method {}
                  }

                  text_transformation {
                    priority = 0
                    type     = "NONE"
                  }
                }
              }

              statement {
                byte_match_statement {
                  positional_constraint = "EXACTLY"
                  search_string         = rule.value.path

                  field_to_match {
                    uri_path {}
                  }

                  text_transformation {
                    priority = 0
                    type     = "NORMALIZE_PATH"
                  }
                }
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "rampart-${rule.key}"
        sampled_requests_enabled   = true
      }
    }
  }

  rule {
    name     = "address"
    priority = 12

    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }

    statement {
      rate_based_statement {
        limit                 = 60 * var.address_rate
        evaluation_window_sec = 60
        aggregate_key_type    = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rampart-address"
      sampled_requests_enabled   = true
    }
  }

  # What Amazon knows of attacks.
  rule {
    name     = "reputation"
    priority = 20

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        name        = "AWSManagedRulesAmazonIpReputationList"
        vendor_name = "AWS"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rampart-reputation"
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "bad-inputs"
    priority = 21

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        name        = "AWSManagedRulesKnownBadInputsRuleSet"
        vendor_name = "AWS"

        rule_action_override {
          name = "Log4JRCE_BODY"

          action_to_use {
            count {}
          }
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rampart-bad-inputs"
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "common"
    priority = 22

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        name        = "AWSManagedRulesCommonRuleSet"
        vendor_name = "AWS"

        dynamic "rule_action_override" {
          for_each = local.lenient

          content {
            name = rule_action_override.value

            action_to_use {
              count {}
            }
          }
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rampart-common"
      sampled_requests_enabled   = true
    }
  }

  # Who comes by an anonymizer or from a hoster is counted only: pipelines are among them.
  rule {
    name     = "anonymous"
    priority = 23

    override_action {
      count {}
    }

    statement {
      managed_rule_group_statement {
        name        = "AWSManagedRulesAnonymousIpList"
        vendor_name = "AWS"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "rampart-anonymous"
      sampled_requests_enabled   = true
    }
  }
}

resource "aws_wafv2_web_acl_logging_configuration" "edge" {
  provider                = aws.edge
  resource_arn            = aws_wafv2_web_acl.edge.arn
  log_destination_configs = [var.log_destination_arn]

  # Whoever reads the log is nobody else for that.
  dynamic "redacted_fields" {
    for_each = ["authorization", "cookie", "x-forgery-token"]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }
}
