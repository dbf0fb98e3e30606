//! The table of technologies and their signs. One entry each; the order is the order in reports: servers, languages,
//! frameworks, content management, applications, libraries.

use Sign::{Cookie, Generator, Header, Mark, Says, Script, VersionHeader, Word};

/// One technology.
pub(super) struct Rule {
    /// Usual name.
    pub(super) name: &'static str,
    /// `vendor:product` of its CPE name; empty when it has none.
    pub(super) cpe: &'static str,
    /// Each is enough.
    pub(super) signs: &'static [Sign],
}

/// How a technology shows itself. Header names and words in lower case.
pub(super) enum Sign {
    /// The header is there.
    Header(&'static str),
    /// The header is there, and its value begins with the version.
    VersionHeader(&'static str),
    /// The header's value has the word, perhaps with a version after it.
    Word(&'static str, &'static str),
    /// The header's value has the word; what follows is no version of this technology.
    Says(&'static str, &'static str),
    /// A cookie of that prefix is set.
    Cookie(&'static str),
    /// `meta name=generator` has the word, perhaps with a version after it.
    Generator(&'static str),
    /// A script's file is called so, perhaps with a version in its name, path or query.
    Script(&'static str),
    /// The body has this text: a path of its own, an attribute, an object.
    Mark(&'static str),
}

const fn rule(name: &'static str, cpe: &'static str, signs: &'static [Sign]) -> Rule {
    Rule { name, cpe, signs }
}

/// Everything that is recognised.
pub(super) static TABLE: &[Rule] = &[
    // Servers, proxies, caches
    rule("nginx", "f5:nginx", &[Word("server", "nginx")]),
    rule("OpenResty", "openresty:openresty", &[Word("server", "openresty")]),
    rule("Apache HTTP Server", "apache:http_server", &[Word("server", "apache")]),
    rule("Apache Tomcat", "apache:tomcat", &[Says("server", "apache-coyote"), Mark("<title>Apache Tomcat/")]),
    rule("Microsoft IIS", "microsoft:internet_information_services", &[Word("server", "microsoft-iis")]),
    rule("lighttpd", "lighttpd:lighttpd", &[Word("server", "lighttpd")]),
    rule("LiteSpeed", "litespeedtech:litespeed_web_server", &[Word("server", "litespeed")]),
    rule("Caddy", "caddyserver:caddy", &[Word("server", "caddy")]),
    rule("Jetty", "eclipse:jetty", &[Word("server", "jetty")]),
    rule("Undertow", "redhat:undertow", &[Word("server", "undertow")]),
    rule("Kestrel", "", &[Word("server", "kestrel")]),
    rule("Cherokee", "cherokee-project:cherokee", &[Word("server", "cherokee")]),
    rule("GoAhead", "embedthis:goahead", &[Word("server", "goahead-webs"), Word("server", "goahead-http")]),
    rule("mini_httpd", "acme:mini-httpd", &[Word("server", "mini_httpd")]),
    rule("thttpd", "acme:thttpd", &[Word("server", "thttpd")]),
    rule("Boa", "boa:boa", &[Word("server", "boa")]),
    rule("uvicorn", "encode:uvicorn", &[Word("server", "uvicorn")]),
    rule("gunicorn", "gunicorn:gunicorn", &[Word("server", "gunicorn")]),
    rule("Werkzeug", "palletsprojects:werkzeug", &[Word("server", "werkzeug")]),
    rule("Tornado", "tornadoweb:tornado", &[Word("server", "tornadoserver")]),
    rule("CherryPy", "cherrypy:cherrypy", &[Word("server", "cherrypy")]),
    rule("Waitress", "agendaless:waitress", &[Word("server", "waitress")]),
    rule("Puma", "puma:puma", &[Word("server", "puma")]),
    rule(
        "Phusion Passenger",
        "phusion:passenger",
        &[Word("server", "phusion passenger"), Word("x-powered-by", "phusion passenger")],
    ),
    rule("WEBrick", "ruby-lang:webrick", &[Word("server", "webrick")]),
    rule("Cowboy", "ninenines:cowboy", &[Word("server", "cowboy")]),
    rule("Envoy", "envoyproxy:envoy", &[Word("server", "envoy"), Header("x-envoy-upstream-service-time")]),
    rule("HAProxy", "haproxy:haproxy", &[Word("server", "haproxy"), Word("via", "haproxy")]),
    rule("Traefik", "traefik:traefik", &[Word("server", "traefik")]),
    rule(
        "Kong",
        "konghq:kong_gateway",
        &[Word("server", "kong"), Word("via", "kong"), Header("x-kong-proxy-latency")],
    ),
    rule(
        "Varnish",
        "varnish-software:varnish_cache",
        &[Word("via", "(varnish"), Word("server", "varnish"), Header("x-varnish"), Word("via", "varnish")],
    ),
    rule("Squid", "squid-cache:squid", &[Word("server", "squid"), Word("via", "squid")]),
    rule("Cloudflare", "", &[Word("server", "cloudflare"), Header("cf-ray")]),
    rule("Fastly", "", &[Header("x-fastly-request-id")]),
    rule("Akamai", "", &[Word("server", "akamaighost"), Header("x-akamai-transformed")]),
    rule("Amazon CloudFront", "", &[Header("x-amz-cf-id"), Word("via", "cloudfront")]),
    rule("Amazon S3", "", &[Word("server", "amazons3")]),
    rule("BIG-IP", "f5:big-ip", &[Cookie("bigipserver"), Word("server", "big-ip"), Word("server", "bigip")]),
    rule("OpenSSL", "openssl:openssl", &[Word("server", "openssl")]),
    // Languages and run times
    rule("PHP", "php:php", &[Word("x-powered-by", "php"), Word("server", "php"), Cookie("PHPSESSID")]),
    rule(
        "ASP.NET",
        "microsoft:asp.net",
        &[
            VersionHeader("x-aspnet-version"),
            Word("x-powered-by", "asp.net"),
            Cookie("ASP.NET_SessionId"),
            Mark("name=\"__VIEWSTATE\""),
        ],
    ),
    rule("ASP.NET MVC", "microsoft:asp.net_model_view_controller", &[VersionHeader("x-aspnetmvc-version")]),
    rule("Java", "", &[Cookie("JSESSIONID"), Says("x-powered-by", "servlet"), Says("x-powered-by", "jsp")]),
    rule("Python", "python:python", &[Word("server", "python"), Word("server", "cpython")]),
    rule("Perl", "perl:perl", &[Word("server", "perl")]),
    rule("ColdFusion", "adobe:coldfusion", &[Cookie("CFID="), Cookie("CFTOKEN=")]),
    // Frameworks
    rule("Express", "openjsf:express", &[Word("x-powered-by", "express"), Cookie("connect.sid")]),
    rule(
        "Next.js",
        "vercel:next.js",
        &[Word("x-powered-by", "next.js"), Mark("id=\"__NEXT_DATA__\""), Mark("/_next/static/")],
    ),
    rule("Nuxt", "nuxt:nuxt", &[Mark("window.__NUXT__"), Mark("/_nuxt/")]),
    rule("Laravel", "laravel:framework", &[Cookie("laravel_session")]),
    rule(
        "Symfony",
        "sensiolabs:symfony",
        &[Header("x-debug-token"), Header("x-debug-token-link"), Mark("class=\"sf-toolbar")],
    ),
    rule("CodeIgniter", "codeigniter:codeigniter", &[Cookie("ci_session")]),
    rule("CakePHP", "cakephp:cakephp", &[Cookie("CAKEPHP")]),
    rule(
        "Yii",
        "yiiframework:yii",
        &[
            Cookie("YII_CSRF_TOKEN"),
            Mark("/yii.js"),
            Mark("Powered by <a href=\"http://www.yiiframework.com/\""),
        ],
    ),
    rule(
        "Django",
        "djangoproject:django",
        &[
            Cookie("django_language"),
            Mark("name=\"csrfmiddlewaretoken\""),
            Mark("name='csrfmiddlewaretoken'"),
        ],
    ),
    rule("Flask", "palletsprojects:flask", &[Mark("<title>Flask"), Mark("// Werkzeug Debugger")]),
    rule("FastAPI", "tiangolo:fastapi", &[Mark("<title>FastAPI")]),
    rule(
        "Ruby on Rails",
        "rubyonrails:rails",
        &[Mark("name=\"csrf-param\" content=\"authenticity_token\""), Header("x-rack-cache")],
    ),
    rule(
        "Spring",
        "vmware:spring_framework",
        &[Header("x-application-context"), Mark("<h1>Whitelabel Error Page</h1>")],
    ),
    rule("Struts", "apache:struts", &[Mark("struts.token.name"), Mark("<title>Struts Problem Report")]),
    rule("JavaServer Faces", "", &[Mark("javax.faces.ViewState"), Mark("jakarta.faces.ViewState")]),
    rule("Play Framework", "lightbend:play_framework", &[Cookie("PLAY_SESSION")]),
    rule("Phoenix", "phoenixframework:phoenix", &[Mark("phx-socket"), Mark("data-phx-main")]),
    rule("Livewire", "laravel:livewire", &[Mark("wire:initial-data"), Script("livewire")]),
    rule("Gatsby", "gatsbyjs:gatsby", &[Generator("gatsby"), Mark("id=\"___gatsby\"")]),
    rule("Hugo", "gohugo:hugo", &[Generator("hugo")]),
    rule("Jekyll", "jekyllrb:jekyll", &[Generator("jekyll")]),
    rule("Docusaurus", "facebook:docusaurus", &[Generator("docusaurus")]),
    rule("Sphinx", "sphinx-doc:sphinx", &[Mark("_static/documentation_options.js")]),
    // Content management and shops
    rule(
        "WordPress",
        "wordpress:wordpress",
        &[Generator("wordpress"), Mark("/wp-content/"), Mark("/wp-includes/"), Word("link", "api.w.org")],
    ),
    rule(
        "WooCommerce",
        "woocommerce:woocommerce",
        &[Generator("woocommerce"), Mark("/plugins/woocommerce/")],
    ),
    rule("Elementor", "elementor:website_builder", &[Generator("elementor"), Mark("/plugins/elementor/")]),
    rule(
        "Drupal",
        "drupal:drupal",
        &[
            Generator("drupal"),
            Word("x-generator", "drupal"),
            Header("x-drupal-cache"),
            Mark("data-drupal-selector"),
            Mark("Drupal.settings"),
        ],
    ),
    rule(
        "Joomla",
        "joomla:joomla\\!",
        &[Generator("joomla"), Mark("/media/system/js/mootools"), Mark("/media/vendor/joomla-")],
    ),
    rule("TYPO3", "typo3:typo3", &[Generator("typo3"), Mark("/typo3temp/"), Mark("/typo3conf/")]),
    rule("MediaWiki", "mediawiki:mediawiki", &[Generator("mediawiki"), Mark("mw.config.set(")]),
    rule("DokuWiki", "dokuwiki:dokuwiki", &[Generator("dokuwiki"), Cookie("DokuWiki")]),
    rule("Ghost", "ghost:ghost", &[Generator("ghost"), Mark("/ghost/api/content")]),
    rule("Umbraco", "umbraco:umbraco_cms", &[Header("x-umbraco-version"), Mark("/umbraco_client/")]),
    rule("Sitecore", "sitecore:experience_platform", &[Cookie("SC_ANALYTICS_GLOBAL_COOKIE")]),
    rule(
        "Adobe Experience Manager",
        "adobe:experience_manager",
        &[Mark("/etc.clientlibs/"), Mark("/etc/designs/")],
    ),
    rule("Liferay", "liferay:liferay_portal", &[Header("liferay-portal"), Mark("Liferay.ThemeDisplay")]),
    rule(
        "SharePoint",
        "microsoft:sharepoint_server",
        &[VersionHeader("microsoftsharepointteamservices"), Mark("_spPageContextInfo")],
    ),
    rule(
        "Magento",
        "magento:magento",
        &[
            Cookie("X-Magento-Vary"),
            Header("x-magento-cache-debug"),
            Mark("Mage.Cookies"),
            Mark("data-mage-init"),
        ],
    ),
    rule(
        "PrestaShop",
        "prestashop:prestashop",
        &[Generator("prestashop"), Cookie("PrestaShop-"), Word("powered-by", "prestashop")],
    ),
    rule("OpenCart", "opencart:opencart", &[Cookie("OCSESSID"), Mark("index.php?route=common/home")]),
    rule("Shopify", "", &[Header("x-shopid"), Header("x-shopify-stage"), Mark("cdn.shopify.com/")]),
    rule("Discourse", "discourse:discourse", &[Generator("discourse"), Header("x-discourse-route")]),
    rule("phpBB", "phpbb:phpbb", &[Cookie("phpbb3_"), Mark("Powered by <a href=\"https://www.phpbb.com/\"")]),
    rule("vBulletin", "vbulletin:vbulletin", &[Generator("vbulletin"), Cookie("bbsessionhash")]),
    rule("Moodle", "moodle:moodle", &[Cookie("MoodleSession"), Mark("M.cfg = {\"wwwroot\"")]),
    // Applications and consoles
    rule("Jenkins", "jenkins:jenkins", &[VersionHeader("x-jenkins"), Mark("<title>Dashboard [Jenkins]")]),
    rule(
        "GitLab",
        "gitlab:gitlab",
        &[Cookie("_gitlab_session"), Header("x-gitlab-meta"), Mark("content=\"GitLab\"")],
    ),
    rule("Gitea", "gitea:gitea", &[Cookie("i_like_gitea"), Mark("Powered by Gitea")]),
    rule(
        "Grafana",
        "grafana:grafana",
        &[Cookie("grafana_session"), Mark("window.grafanaBootData"), Mark("<title>Grafana</title>")],
    ),
    rule(
        "Kibana",
        "elastic:kibana",
        &[Header("kbn-name"), VersionHeader("kbn-version"), Mark("kbn-injected-metadata")],
    ),
    rule("Elasticsearch", "elastic:elasticsearch", &[Word("x-elastic-product", "elasticsearch")]),
    rule("Prometheus", "prometheus:prometheus", &[Mark("<title>Prometheus Time Series")]),
    rule(
        "SonarQube",
        "sonarsource:sonarqube",
        &[Mark("content=\"SonarQube\""), Mark("<title>SonarQube</title>")],
    ),
    rule("Nexus Repository", "sonatype:nexus_repository_manager", &[Word("server", "nexus")]),
    rule(
        "Artifactory",
        "jfrog:artifactory",
        &[Word("server", "artifactory"), Header("x-artifactory-id"), Header("x-jfrog-version")],
    ),
    rule(
        "Confluence",
        "atlassian:confluence_server",
        &[Header("x-confluence-request-time"), Mark("name=\"ajs-version-number\"")],
    ),
    rule(
        "Jira",
        "atlassian:jira_server",
        &[Header("x-asen"), Mark("name=\"application-name\" content=\"JIRA\"")],
    ),
    rule(
        "Nextcloud",
        "nextcloud:nextcloud_server",
        &[Mark("data-requesttoken"), Mark("<title>\n\t\tNextcloud"), Cookie("nc_session")],
    ),
    rule(
        "phpMyAdmin",
        "phpmyadmin:phpmyadmin",
        &[Cookie("phpMyAdmin"), Cookie("pma_lang"), Mark("<title>phpMyAdmin")],
    ),
    rule("Adminer", "adminer:adminer", &[Cookie("adminer_sid"), Mark("<title>Login - Adminer")]),
    rule("Webmin", "webmin:webmin", &[Word("server", "miniserv")]),
    rule("cPanel", "cpanel:cpanel", &[Word("server", "cpsrvd")]),
    rule("Plesk", "plesk:plesk", &[Word("x-powered-by", "plesklin"), Word("x-powered-by", "pleskwin")]),
    rule(
        "Keycloak",
        "redhat:keycloak",
        &[Cookie("KC_RESTART"), Cookie("KEYCLOAK_SESSION"), Mark("/resources/keycloak")],
    ),
    rule("RabbitMQ Management", "vmware:rabbitmq", &[Mark("<title>RabbitMQ Management</title>")]),
    rule("Roundcube", "roundcube:webmail", &[Cookie("roundcube_sessid"), Mark("<title>Roundcube Webmail")]),
    rule("Zimbra", "zimbra:collaboration", &[Cookie("ZM_TEST"), Cookie("ZM_LOGIN_CSRF")]),
    rule("Outlook Web App", "microsoft:exchange_server", &[VersionHeader("x-owa-version")]),
    rule("Zabbix", "zabbix:zabbix", &[Cookie("zbx_session"), Mark("content=\"Zabbix SIA\"")]),
    rule("MinIO", "minio:minio", &[Word("server", "minio"), Mark("<title>MinIO Console")]),
    rule("Swagger UI", "smartbear:swagger_ui", &[Mark("id=\"swagger-ui\""), Script("swagger-ui")]),
    rule("GraphiQL", "", &[Script("graphiql"), Mark("<title>GraphiQL")]),
    // Libraries of the browser
    rule("jQuery", "jquery:jquery", &[Script("jquery")]),
    rule("jQuery UI", "jquery:jquery_ui", &[Script("jquery-ui"), Script("jquery.ui")]),
    rule("jQuery Migrate", "", &[Script("jquery-migrate")]),
    rule("Bootstrap", "getbootstrap:bootstrap", &[Script("bootstrap")]),
    rule("AngularJS", "angularjs:angular.js", &[Script("angular"), Mark("ng-app=\"")]),
    rule("Angular", "google:angular", &[Mark("ng-version=\"")]),
    rule("React", "facebook:react", &[Script("react"), Script("react-dom"), Mark("data-reactroot")]),
    rule("Vue.js", "vuejs:vue", &[Script("vue"), Mark("data-v-app")]),
    rule("Svelte", "svelte:svelte", &[Mark("class=\"svelte-"), Mark("__sveltekit_")]),
    rule("Ember.js", "emberjs:ember.js", &[Script("ember"), Mark("class=\"ember-view")]),
    rule("Backbone.js", "backbonejs:backbone.js", &[Script("backbone")]),
    rule("Lodash", "lodash:lodash", &[Script("lodash")]),
    rule("Underscore.js", "underscorejs:underscore", &[Script("underscore")]),
    rule("Moment.js", "momentjs:moment", &[Script("moment"), Script("moment-with-locales")]),
    rule("MooTools", "mootools:mootools", &[Script("mootools")]),
    rule("Prototype", "prototypejs:prototype", &[Script("prototype")]),
    rule("Handlebars", "handlebarsjs:handlebars", &[Script("handlebars")]),
    rule("D3", "", &[Script("d3")]),
    rule("Modernizr", "", &[Script("modernizr")]),
    rule("htmx", "htmx:htmx", &[Script("htmx")]),
    rule("Alpine.js", "", &[Script("alpine")]),
    rule("TinyMCE", "tiny:tinymce", &[Script("tinymce")]),
    rule("CKEditor", "ckeditor:ckeditor", &[Script("ckeditor")]),
    rule("Google Tag Manager", "", &[Mark("googletagmanager.com/gtm.js")]),
    rule("Matomo", "matomo:matomo", &[Script("matomo"), Script("piwik")]),
];
